"""The surface "customer service" (微信客服): customers write to service accounts, the product pulls and sends.

| what it plays                                             | where                             |
|-----------------------------------------------------------|-----------------------------------|
| service accounts, customers, sessions, the log of items   | `desk`                            |
| callbacks that say "there is something"                   | `callbacks`                       |
| kf/sync_msg                                               | `sync` (tokens of callbacks too)  |
| kf/send_msg, kf/send_msg_on_event, failures that come later | `send`                          |
| kf/service_state                                          | `sessions`                        |
| all of it over HTTP, and the testers' hands               | `routes`, `control`               |
"""
