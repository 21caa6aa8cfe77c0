"""Customer Explorer: find people, and filter them."""

from functools import partial

from cdp.ui import auth, customers, people

user = auth.require()
people.send_on()
customers.draw(is_admin=user.is_admin, actor=partial(auth.actor, user))
