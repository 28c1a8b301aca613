"""`wakegate appserver`: push.<domain> for other XMPP servers, as their external component (XEP-0114, XEP-0357).

Reading order: `settings`, `published` (what a publish says), `service` (what is answered to what), `commands`,
`connection`.
"""
