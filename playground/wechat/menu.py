"""What menu/create takes: a few buttons, each of a few, with short names; used by `api`."""

from playground.wechat.limits import Limits


def menu_fault(buttons: object, limits: Limits) -> int:
    """The error code for a menu's `button` list, 0 for none."""
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= limits.menu_buttons:
        return 40016
    for button in buttons:
        below = button.get("sub_button", []) if isinstance(button, dict) else None
        if not isinstance(below, list) or len(below) > limits.menu_sub_buttons:
            return 40023
        for one in (button, *below):
            if code := _button_fault(one, limits):
                return code
    return 0


def _button_fault(button: object, limits: Limits) -> int:
    if not isinstance(button, dict) or not button.get("name"):
        return 40018
    for name, longest, code in (
        ("name", limits.menu_name_bytes, 40018),
        ("key", limits.menu_key_bytes, 40019),
        ("url", limits.menu_url_bytes, 40020),
    ):
        if len(str(button.get(name, "")).encode(errors="replace")) > longest:
            return code
    return 0
