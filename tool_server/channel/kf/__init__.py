"""What customer service needs beyond its surface: it is pulled, and humans serve there too; see `pulls`.

| `cursors`  | how far each service account is read, and who reads it now    |
| `items`    | what a page holds, as messages and what they change            |
| `page`     | a page's items and its cursor, taken in one transaction        |
| `bursts`   | many messages of one customer become one question              |
| `sessions` | whether the bot or a human serves a customer                   |
| `fails`    | a message that was taken and failed later                      |
| `handover` | the words and the marker that call a human                     |
"""
