"""What people do: actions that check the role and leave a row in the audit log; accounts."""
