"""WeChat's stand-in: a WeCom platform with its own crypto, real HTTP and real limits, and a phone to write from.

Imports nothing of `tool_server`: what the product believes about the platform is tested against other code.

| to bring a message to the product | `platform` → `deliver` → `wecom_app` (`crypto`, `message`) → `wire`      |
| to take a call of the product     | `routes` (`faults`, `gate`) → `api` (`tokens`, `drops`, `menu`),        |
|                                   | `media_calls` (`media`), `org_calls` (`org`)                            |
| what people saw, what went out    | `ledger` (`shelf`); every number of the platform is in `limits`         |
| customer service                  | `kf`, a package of its own with its limits, its calls and its control   |
| AI bots                           | `bot`, with `streams` of what grows on the phone                        |
| for testers, and for the browser  | `control` (`attack`), `console`, `phone` with the page in `phone/`      |

Another surface brings a file beside `wecom_app` (three verbs, see `deliver.Surface`), its limits and its API calls.
"""
