"""The services of a running Easel, by name: what `app.build` makes, and all that a surface may ask."""

from __future__ import annotations

from dataclasses import dataclass

from bot.accounts.access import Access
from bot.accounts.api_keys import ApiKeys
from bot.accounts.logins import Logins
from bot.accounts.service import AccountService
from bot.adapters.base import ChatAdapter
from bot.admin.dashboard import Dashboard
from bot.admin.service import Admin
from bot.commands.complete import Vocabulary
from bot.contests.service import Contests
from bot.guard import Guard
from bot.i18n.speech import Speech
from bot.images.service import Images
from bot.jobs.cards import JobCards
from bot.jobs.changes import Changes
from bot.jobs.departures import Departures
from bot.jobs.files import FileService
from bot.jobs.lineage import LineageQueries
from bot.jobs.messages import JobMessages
from bot.jobs.planning import Planner
from bot.jobs.queries import JobQueries
from bot.jobs.visibility import Visibility
from bot.lifecycle import Lifecycle
from bot.readiness import Readiness
from bot.router import Router
from bot.store import Installations


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Easel:
    """A name for each service. Nothing is done here."""

    adapters: dict[str, ChatAdapter]  # by name; whoever is put here before the start is shown its jobs
    lifecycle: Lifecycle  # starts and closes
    guard: Guard  # says when the process must end
    readiness: Readiness

    # what people do, and what they are answered
    router: Router  # commands, presses, offers
    vocabulary: Vocabulary  # what they may ask for
    planner: Planner  # what would be painted
    changes: Changes  # what their words come to
    speech: Speech  # in whose language
    accounts: AccountService
    access: Access  # tiers and balances
    logins: Logins
    api_keys: ApiKeys
    admin: Admin
    dashboard: Dashboard

    # jobs, and their messages and pictures
    visibility: Visibility  # the jobs that somebody may see
    queries: JobQueries  # what waits and runs
    lineage: LineageQueries  # what was made from what
    cards: JobCards
    messages: JobMessages
    contests: Contests
    departures: Departures  # what platforms took away
    images: Images
    files: FileService
    installations: Installations  # of Slack
