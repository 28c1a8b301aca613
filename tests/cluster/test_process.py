"""A whole gateway on a cluster: people talk while a slot moves and while a master dies."""

from __future__ import annotations

from pathlib import Path

import gevent

from gateway.demo.client import Client
from gateway.mailbox import keys
from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.pushes import STREAMS
from gateway.xmpp import ns
from tests.cluster.conftest import WAIT_S, settings_of
from tests.support.pieces import eventually
from tests.support.processes import Settings, running
from tests.support.redis_cluster import RedisCluster
from workers.cluster_consumer import ClusterConsumer
from workers.consumer import Entry


class Talk:
    """Everybody says numbers to the next one, until `stop`."""

    def __init__(self, clients: list[Client]) -> None:
        self._clients = clients
        self._is_over = False
        self._talkers = [gevent.spawn(self._say, n) for n in range(len(clients))]

    def _say(self, n: int) -> int:
        number = 0
        while not self._is_over:
            self._clients[n].send_message(self._clients[(n + 1) % len(self._clients)].jid, str(number))
            number += 1
            gevent.sleep(0.03)
        return number

    def stop(self) -> list[list[str]]:
        """What everybody should have got, once all is acknowledged."""
        self._is_over = True
        gevent.joinall(self._talkers)
        for client in self._clients:
            client.wait_accepted(WAIT_S)
        return [[str(number) for number in range(talker.value)] for talker in self._talkers[-1:] + self._talkers[:-1]]


def enable_push(client: Client) -> None:
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "t0"}
    inner = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    form = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"
    answer = client.request("set", f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='phone'>{form}</enable>")
    assert "result" == answer.get("type")


def next_event(journal: ClusterJournal) -> Entry:
    """What a push worker would read next."""
    consumer = ClusterConsumer(
        journal, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="worker", claim_after_s=WAIT_S
    )
    found: list[Entry] = []

    def look() -> bool:
        found.extend(consumer.read(100, block_s=0.2))
        return bool(found)

    eventually(look, "a push event")
    consumer.leave()
    return found[0]


def test_people_talk_on_while_a_slot_moves_and_a_master_dies_and_sleepers_are_to_be_woken(
    cluster: RedisCluster, journal: ClusterJournal, tmp_path: Path
) -> None:
    service_account = tmp_path / "service-account.json"
    service_account.write_text("{}")
    service_account.chmod(0o600)
    settings: Settings = {
        "redis": {**settings_of(cluster), "wait_replicas": 1},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
    }
    with running(tmp_path, arguments=("gateway",), settings=settings) as server:
        clients = [server.client(account, resource="phone").login() for account in server.add_accounts(4)]
        talk = Talk(clients)
        slot = slot_of(keys.prefix(clients[0].jid.partition("/")[0]))
        home = next(part for part in range(3) if slot in cluster.part(part))
        cluster.migrate(slot, (home + 1) % 3, pause_s=0.05)
        former = cluster.kill_master(home)
        cluster.wait_ok()
        cluster.restart(former)
        cluster.migrate(slot, home)
        wanted = talk.stop()
        for client, said in zip(clients, wanted, strict=True):
            client.wait_messages(len(said), WAIT_S)
        got = [[message.body for message in client.messages] for client in clients]
        enable_push(clients[0])
        clients[0].cut()
        clients[3].send_message(clients[0].jid, "wake up")
        event = next_event(journal)
        for client in clients[1:]:
            client.close()
        losses = server.log().count("writes_lost")

    assert wanted == got
    assert 0 == losses
    assert clients[0].jid.partition("/")[0] == event.fields["user"]
    assert min(map(len, wanted)) > 10


def test_clients_of_a_part_that_nobody_serves_are_sent_away_and_all_others_talk_on(tmp_path: Path) -> None:
    partial = ("cluster-require-full-coverage no",)
    with RedisCluster(tmp_path / "cluster", masters=3, replicas=0, config=partial) as cluster:
        settings: Settings = {"redis": {"url": cluster.url, "patience": 3.0}}
        with running(tmp_path, arguments=("gateway",), settings=settings) as server:
            clients = [server.client(account, resource="phone").login() for account in server.add_accounts(12)]
            there = [slot_of(keys.prefix(client.jid.partition("/")[0])) in cluster.part(0) for client in clients]
            gone = [client for client, is_there in zip(clients, there, strict=True) if is_there]
            stay = [client for client, is_there in zip(clients, there, strict=True) if not is_there]
            cluster.pause(0)
            for client in gone:
                client.send_message(client.jid, "meanwhile")
            for client in gone:
                client.ended.wait(WAIT_S)
            conditions = {client.stream_error for client in gone}
            for one, other in zip(stay, stay[1:] + stay[:1], strict=True):
                one.send_message(other.jid, "here")
            for client in stay:
                client.wait_messages(1, WAIT_S)
            cluster.resume()
            cluster.wait_ok()
            for client in gone:
                client.resume()
                client.wait_messages(1, WAIT_S)
            bodies = [[message.body for message in client.messages] for client in clients]
            for client in clients:
                client.close()

    assert gone and stay
    assert {"internal-server-error"} == conditions
    assert [["meanwhile"] if is_there else ["here"] for is_there in there] == bodies
