"""What people do through the console and the command line.

Every action reads the acting account's role from the store at that moment, whatever the page that
offers it has shown, and leaves a row in the audit log: with the change in one commit, or, where the
change happens elsewhere, one before it and one after.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cdp.domain.access import NotPermitted, Role
from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy
from cdp.executions.port import Executions
from cdp.governance.accounts import Account, AccountError, Accounts
from cdp.governance.audit import Audit, Outcome, redacted
from cdp.governance.desk import Decided, Desk, Identifier
from cdp.governance.reveals import Reveals
from cdp.profiles.port import AlreadyExists, Conflict, DocumentStore, Write

R = TypeVar("R")

MIN_REASON: Final = 8
EXPORT_AT_MOST: Final = 50_000


@dataclass(frozen=True, slots=True)
class Shell:
    """Somebody at the command line, who can read and write the deployment's files anyway."""

    name: str


Actor = str | Shell
"""An account's username, or somebody at the command line."""


class RefreshRunning(CdpError):  # noqa: N818 - reads as the sentence it is
    """A refresh runs already; says which."""


class Governance:
    """The actions of one deployment.

    Args:
        start: starts a refresh, with its arguments and who starts it; returns the run's id.
        profiles_of: returns the ids of the profiles that the warehouse knows an identifier's to be.
        is_erased: says whether whoever has an identifier was erased.
    """

    def __init__(
        self,
        documents: DocumentStore,
        accounts: Accounts,
        audit: Audit,
        executions: Executions,
        start: Callable[..., str],
        *,
        policy: Policy,
        profiles_of: Callable[[Identifier], Sequence[str]],
        is_erased: Callable[[Identifier], bool],
    ) -> None:
        self._documents = documents
        self._accounts = accounts
        self._audit = audit
        self._executions = executions
        self._start = start
        self._desk = Desk(documents, policy, profiles_of, is_erased)
        self._reveals = Reveals(documents, policy.access.reveals_a_day)

    # --- runs -------------------------------------------------------------------------------------

    def start_refresh(
        self, actor: Actor, arguments: Mapping[str, Any], *, seen: str | None = None
    ) -> str:
        """Start a refresh and return its run's id.

        Args:
            seen: id of the newest run that the actor knew of when deciding; None skips the check.

        Raises:
            NotPermitted: not an admin.
            RefreshRunning: one runs already, or another was started meanwhile.
        """
        self.require(actor, Role.ADMIN, "refresh:start", "refresh")
        newest = next(iter(self._executions.list(limit=1)), None)
        if newest is not None and not newest.state.ended and not isinstance(actor, Shell):
            raise RefreshRunning(
                f"run {newest.id} by {newest.started_by} is at it; wait for it, or cancel it"
            )
        if seen is not None and newest is not None and newest.id != seen:
            raise RefreshRunning(
                f"{newest.started_by} started run {newest.id} meanwhile; look at it, then decide"
            )
        told = {name: value for name, value in arguments.items() if value}
        with self._outside(actor, "refresh:start", "refresh", details=told) as done:
            run_id = self._start(arguments, by=name_of(actor))
            done["run_id"] = run_id
        return run_id

    def cancel_run(self, actor: Actor, run_id: str) -> None:
        """Ask a run to stop; what it delivered stays.

        Raises:
            NotPermitted: not an admin.
            CdpError: there is no such run, or it has ended.
        """
        self.require(actor, Role.ADMIN, "refresh:cancel", run_id)
        execution = self._executions.get(run_id)
        if execution.state.ended:
            raise CdpError(f"run {run_id} has ended already: {execution.state.value.lower()}")
        with self._outside(actor, "refresh:cancel", run_id):
            self._executions.cancel(run_id, by=name_of(actor))

    # --- people -----------------------------------------------------------------------------------

    def reveal(self, actor: Actor, profile_id: str, reason: str) -> None:
        """Record that the actor is shown a profile's identifiers whole, and why.

        Raises:
            NotPermitted: no role.
            CdpError: no reason to speak of, or as many reveals as a day may have.
        """
        self.require(actor, Role.MARKETER, "profile:reveal", profile_id)
        said = reason_of(reason)
        try:
            self._again(
                lambda: self.record(
                    actor,
                    "profile:reveal",
                    profile_id,
                    self._reveals.counted(name_of(actor), self._audit.now()),
                    reason=said,
                )
            )
        except NotPermitted:
            self.record(actor, "profile:reveal", profile_id, [], outcome=Outcome.REFUSED)
            raise

    def download(self, actor: Actor, profile_id: str, *, whole: bool) -> None:
        """Record that the actor takes a profile's document away.

        Args:
            whole: with its identifiers unmasked; for marketers only after they revealed them.

        Raises:
            NotPermitted: no role.
        """
        self.require(actor, Role.MARKETER, "profile:download", profile_id)
        self.record(actor, "profile:download", profile_id, [], details={"masked": not whole})

    def export(self, actor: Actor, filters: Mapping[str, str], rows: int, reason: str) -> None:
        """Record that the actor takes a list of profiles away.

        Raises:
            NotPermitted: not an admin.
            CdpError: no reason to speak of.
        """
        self.require(actor, Role.ADMIN, "profiles:export", "profiles")
        details = {"filters": dict(filters), "rows": rows}
        self.record(
            actor, "profiles:export", "profiles", [], reason=reason_of(reason), details=details
        )

    def loaded(self, actor: Actor, kind: str, files: Mapping[str, int]) -> None:
        """Record which files were loaded, with their rows.

        Args:
            kind: `ga4`, `links` or `consent`.
            files: rows by name, without folders.
        """
        told = [(redacted(name), rows) for name, rows in files.items()]
        # Names that differ in an address only are alike now.
        names = {name: sum(rows for one, rows in told if one == name) for name, _ in told}
        self.record(actor, f"load:{kind}", kind, [], details={"files": names})

    # --- consent ----------------------------------------------------------------------------------

    def decide(
        self,
        actor: Actor,
        type: str,
        told: str,
        purpose: str,
        state: str,
        *,
        channel: str,
        reason: str,
        notice: str | None = None,
    ) -> Decided:
        """Write down what a person decided; a denial acts on the stored profiles at once.

        Args:
            told: the identifier, as it was told.
            channel: how the person told it, one of `CHANNELS`.
            notice: the version of the notice that the person saw, where it is known.

        Raises:
            NotPermitted: not an admin.
            CdpError: no identifier, purpose, state, channel, or no reason to speak of.
        """
        return self._decide(
            actor,
            [Identifier(type, told)],
            purpose,
            state,
            action="consent:decide",
            channel=channel,
            reason=reason,
            notice=notice,
        )

    def resolve(
        self,
        actor: Actor,
        profile_id: str,
        others: Sequence[Identifier],
        purpose: str,
        state: str,
        *,
        reason: str,
    ) -> Decided:
        """Settle a disagreement: the person's identifiers that say otherwise now say *state*.

        Args:
            others: those identifiers, clients by their bare ids.

        Raises:
            NotPermitted: not an admin.
            CdpError: as of `decide`.
        """
        return self._decide(
            actor,
            others,
            purpose,
            state,
            action="consent:resolve",
            target=profile_id,
            channel="desk",
            reason=reason,
        )

    def _decide(
        self,
        actor: Actor,
        identifiers: Sequence[Identifier],
        purpose: str,
        state: str,
        *,
        action: str,
        target: str = "",
        channel: str,
        reason: str,
        notice: str | None = None,
    ) -> Decided:
        self.require(actor, Role.ADMIN, action, target or purpose)
        told = {"channel": channel, "reason": redacted(reason_of(reason)), "notice": notice or ""}
        made = self._desk.decisions(
            identifiers, purpose, state, at=self._audit.now(), by=name_of(actor), **told
        )

        def commit() -> list[str]:
            ids, writes = self._desk.added(made)
            details = {"purpose": purpose, "state": state, "channel": channel, "decisions": ids}
            self.record(
                actor, action, target or ids[0], writes, reason=told["reason"], details=details
            )
            return ids

        # First kept, then acted upon: a run that misses the one sees the other.
        ids = self._again(commit)
        return self._desk.acted(ids, made)

    # --- accounts ---------------------------------------------------------------------------------

    def add_account(
        self,
        actor: Actor,
        username: str,
        *,
        name: str,
        role: Role,
        email: str | None = None,
        password: str | None = None,
    ) -> None:
        """Make an account.

        Raises:
            NotPermitted: not an admin.
            AccountError: what is not accepted.
        """
        self.require(actor, Role.ADMIN, "account:add", username)
        writes = self._accounts.added(
            username, name=name, role=role, email=email, password=password
        )
        self.record(actor, "account:add", username, writes, details={"role": role.value})

    def set_password(self, actor: Actor, username: str, password: str) -> None:
        """Give an account another password; its sessions end, and a lock on it."""
        self.require(actor, Role.ADMIN, "account:password", username)
        if not password:
            raise AccountError("a password is not empty")
        writes = self._accounts.changed(username, password=self._accounts.hash(password))
        self.record(actor, "account:password", username, writes)

    def set_role(self, actor: Actor, username: str, role: Role) -> None:
        """Give an account another role; its sessions end."""
        self.require(actor, Role.ADMIN, "account:role", username)
        writes = self._accounts.changed(username, role=role)
        self.record(actor, "account:role", username, writes, details={"role": role.value})

    def set_disabled(self, actor: Actor, username: str, *, disabled: bool) -> None:
        """Close an account, or open it again; its sessions end."""
        action = "account:disable" if disabled else "account:enable"
        self.require(actor, Role.ADMIN, action, username)
        writes = self._accounts.changed(username, disabled=disabled)
        self.record(actor, action, username, writes)

    def signed_in(self, username: str, how: str) -> None:
        """Record that somebody signed in, `password` or `provider`."""
        self.record(username, "session:begin", username, [], details={"how": how})

    def locked_out(self, username: str) -> None:
        """Record that an account was locked after too many attempts."""
        self.record(username, "session:locked", username, [], outcome=Outcome.REFUSED)

    def session_over(self, username: str) -> None:
        """Record that a session tried to act after its end; nothing was done."""
        self.record(username, "session:over", username, [], outcome=Outcome.REFUSED)

    def sign_out(self, username: str) -> None:
        """End every session of an account."""
        self.record(username, "session:end", username, self._accounts.changed(username))

    # --- the rules --------------------------------------------------------------------------------

    def require(self, actor: Actor, role: Role, action: str, target: str) -> None:
        """Let the action go on where the actor's role, as it is now, permits it.

        Raises:
            NotPermitted: it does not; the attempt is in the audit log.
        """
        if isinstance(actor, Shell):
            return
        account = self._accounts.get(actor)
        if permits(account, role):
            return
        self.record(actor, action, target, [], outcome=Outcome.REFUSED)
        has = account.role.value if account and account.active and account.role else "none"
        raise NotPermitted(
            f"this needs the role {role.value}; yours is {has}. Ask an admin for it."
        )

    def _again(self, commit: Callable[[], R]) -> R:
        """Return what *commit* does, which reads anew where another writer was quicker."""
        while True:
            try:
                return commit()
            except (AlreadyExists, Conflict):
                continue

    def record(
        self,
        actor: Actor,
        action: str,
        target: str,
        writes: Sequence[Write],
        *,
        outcome: Outcome = Outcome.DONE,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Commit writes together with the audit log's row that tells of them."""
        who = name_of(actor)
        row = self._audit.row(who, action, target, outcome, reason=reason, details=details)
        self._documents.commit([*writes, row])

    @contextmanager
    def _outside(
        self, actor: Actor, action: str, target: str, details: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Tell the audit log of what happens outside of the document store, before and after.

        What the caller adds to the map is told afterwards.
        """
        told = dict(details or {})
        self.record(actor, action, target, [], outcome=Outcome.BEGUN, details=told)
        more: dict[str, Any] = {}
        try:
            yield more
        except BaseException as error:
            failed = {**told, "error": str(error) or type(error).__name__}
            self.record(actor, action, target, [], outcome=Outcome.FAILED, details=failed)
            raise
        self.record(actor, action, target, [], details={**told, **more})


def permits(account: Account | None, role: Role) -> bool:
    """Whether the account may act in that role; an admin may what a marketer may."""
    return account is not None and account.active and account.role in {role, Role.ADMIN}


def name_of(actor: Actor) -> str:
    """Return what the audit log calls whoever acts."""
    return f"shell:{actor.name}" if isinstance(actor, Shell) else actor


def reason_of(reason: str) -> str:
    """Return a reason as the audit log keeps it; CdpError where it is none to speak of."""
    said = " ".join(reason.split())
    if len(said) < MIN_REASON:
        raise CdpError(f"say why, in {MIN_REASON} characters or more; the audit log keeps it")
    return said[:500]
