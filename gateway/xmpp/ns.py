"""XML namespaces, each spelt once. Names follow the standards' words; the comment names the standard."""

from typing import Final

# RFC 6120 and RFC 6121
STREAM: Final = "http://etherx.jabber.org/streams"
CLIENT: Final = "jabber:client"
SERVER: Final = "jabber:server"
COMPONENT: Final = "jabber:component:accept"  # XEP-0114
STARTTLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION: Final = "urn:ietf:params:xml:ns:xmpp-session"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
ROSTER: Final = "jabber:iq:roster"
ROSTER_VERSIONING: Final = "urn:xmpp:features:rosterver"
SUBSCRIPTION_PRE_APPROVAL: Final = "urn:xmpp:features:pre-approval"
FRAMING: Final = "urn:ietf:params:xml:ns:xmpp-framing"  # RFC 7395
XML: Final = "http://www.w3.org/XML/1998/namespace"

# The stream
SM: Final = "urn:xmpp:sm:3"  # XEP-0198
SM2: Final = "urn:xmpp:sm:2"  # XEP-0198 before 1.3
CSI: Final = "urn:xmpp:csi:0"  # XEP-0352
SASL2: Final = "urn:xmpp:sasl:2"  # XEP-0388
BIND2: Final = "urn:xmpp:bind:0"  # XEP-0386
SASL_CB: Final = "urn:xmpp:sasl-cb:0"  # XEP-0440
STREAM_LIMITS: Final = "urn:xmpp:stream-limits:0"  # XEP-0478
PING: Final = "urn:xmpp:ping"  # XEP-0199
REGISTER: Final = "jabber:iq:register"  # XEP-0077
REGISTER_FEATURE: Final = "http://jabber.org/features/iq-register"  # XEP-0077
PREAUTH: Final = "urn:xmpp:pars:0"  # XEP-0445
IBR_TOKEN: Final = "urn:xmpp:ibr-token:0"  # noqa: S105 - XEP-0445, a namespace
INVITE: Final = "urn:xmpp:invite"  # XEP-0401

# Discovery and forms
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"  # XEP-0030
CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
DATA_FORMS: Final = "jabber:x:data"  # XEP-0004
COMMANDS: Final = "http://jabber.org/protocol/commands"  # XEP-0050
RSM: Final = "http://jabber.org/protocol/rsm"  # XEP-0059
VERSION: Final = "jabber:iq:version"  # XEP-0092
TIME: Final = "urn:xmpp:time"  # XEP-0202
IDLE: Final = "urn:xmpp:idle:1"  # XEP-0319
LAST_ACTIVITY: Final = "jabber:iq:last"  # XEP-0012
PRIVATE: Final = "jabber:iq:private"  # XEP-0049
VCARD: Final = "vcard-temp"  # XEP-0054
VCARD_UPDATE: Final = "vcard-temp:x:update"  # XEP-0153
AVATAR_DATA: Final = "urn:xmpp:avatar:data"  # XEP-0084
AVATAR_METADATA: Final = "urn:xmpp:avatar:metadata"  # XEP-0084
AVATAR_CONVERSION: Final = "urn:xmpp:pep-vcard-conversion:0"  # XEP-0398
BOOKMARKS: Final = "urn:xmpp:bookmarks:1"  # XEP-0402
BOOKMARKS_LEGACY: Final = "storage:bookmarks"  # XEP-0048
EXTERNAL_SERVICES: Final = "urn:xmpp:extdisco:2"  # XEP-0215
BLOCKING: Final = "urn:xmpp:blocking"  # XEP-0191
BLOCKING_ERRORS: Final = "urn:xmpp:blocking:errors"  # XEP-0191
REPORTING: Final = "urn:xmpp:reporting:1"  # XEP-0377
REPORTING_REASONS: Final = "urn:xmpp:reporting"  # XEP-0377
OFFLINE_RETRIEVAL: Final = "http://jabber.org/protocol/offline"  # XEP-0013

# Push and publish-subscribe
PUSH: Final = "urn:xmpp:push:0"  # XEP-0357
PUSH_SUMMARY: Final = "urn:xmpp:push:summary"  # XEP-0357
PUSH_ENCRYPT: Final = "tigase:push:encrypt:0"  # this and the next: Tigase's extensions of XEP-0357
PUSH_MUTED: Final = "tigase:push:filter:muted:0"
PUSH_GROUPCHAT: Final = "tigase:push:filter:groupchat:0"
PUSH_IGNORE_UNKNOWN: Final = "tigase:push:filter:ignore-unknown:0"
PUSH_PRIORITY: Final = "tigase:push:priority:0"
PUSH_JINGLE: Final = "tigase:push:jingle:0"
NOTIFY: Final = "urn:xmpp:notification-settings:1"  # XEP-0492
NOTIFY_0: Final = "urn:xmpp:notification-settings:0"  # XEP-0492 before 0.2
VAPID: Final = "urn:wakegate:vapid:0"  # docs/push.md: public keys for Web Push, by app
NOTIFY_MUTE: Final = "urn:wakegate:notify:0"  # docs/push.md: <mute until=''/> in XEP-0492's <advanced/>
PUBSUB: Final = "http://jabber.org/protocol/pubsub"  # XEP-0060
PUBSUB_EVENT: Final = "http://jabber.org/protocol/pubsub#event"  # XEP-0060
PUBSUB_ERRORS: Final = "http://jabber.org/protocol/pubsub#errors"  # XEP-0060
PUBSUB_OWNER: Final = "http://jabber.org/protocol/pubsub#owner"  # XEP-0060
PUBSUB_PUBLISH_OPTIONS: Final = "http://jabber.org/protocol/pubsub#publish-options"  # XEP-0060

# Messages
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
OFFLINE: Final = "msgoffline"  # XEP-0160: a feature's name
CHATSTATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
RECEIPTS: Final = "urn:xmpp:receipts"  # XEP-0184
MARKERS: Final = "urn:xmpp:chat-markers:0"  # XEP-0333
DISPLAYED: Final = "urn:xmpp:mds:displayed:0"  # XEP-0490
DISPLAYED_ASSIST: Final = "urn:xmpp:mds:server-assist:0"  # XEP-0490
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
CARBONS_RULES: Final = "urn:xmpp:carbons:rules:0"  # XEP-0280
FORWARD: Final = "urn:xmpp:forward:0"  # XEP-0297
HINTS: Final = "urn:xmpp:hints"  # XEP-0334
STANZA_ID: Final = "urn:xmpp:sid:0"  # XEP-0359
MAM: Final = "urn:xmpp:mam:2"  # XEP-0313
CALLS: Final = "urn:xmpp:jingle-message:0"  # XEP-0353
CORRECTION: Final = "urn:xmpp:message-correct:0"  # XEP-0308
REFERENCE: Final = "urn:xmpp:reference:0"  # XEP-0372
REPLY: Final = "urn:xmpp:reply:0"  # XEP-0461
RETRACTION: Final = "urn:xmpp:message-retract:1"  # XEP-0424
REACTIONS: Final = "urn:xmpp:reactions:0"  # XEP-0444
DATA_VALIDATE: Final = "http://jabber.org/protocol/xdata-validate"  # XEP-0122
ATTENTION: Final = "urn:xmpp:attention:0"  # XEP-0224
CONFERENCE: Final = "jabber:x:conference"  # XEP-0249
ENCRYPTION: Final = "urn:xmpp:eme:0"  # XEP-0380
OMEMO_AXOLOTL: Final = "eu.siacs.conversations.axolotl"  # XEP-0384 0.3
OMEMO_2: Final = "urn:xmpp:omemo:2"  # XEP-0384
OMEMO: Final = (OMEMO_AXOLOTL, OMEMO_2)
OPENPGP: Final = "urn:xmpp:openpgp:0"  # XEP-0373
PGP_LEGACY: Final = "jabber:x:encrypted"  # XEP-0027

# Rooms
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER: Final = "http://jabber.org/protocol/muc#user"  # XEP-0045
MUC_ADMIN: Final = "http://jabber.org/protocol/muc#admin"  # XEP-0045
MUC_OWNER: Final = "http://jabber.org/protocol/muc#owner"  # XEP-0045
