-- Jump: each identifier takes its parent's parent; repeated until no row changes, it holds its root.
-- grain:   as parent
update parent as child
set parent = ancestor.parent
from parent as ancestor
where ancestor.id = child.parent and ancestor.parent <> child.parent
