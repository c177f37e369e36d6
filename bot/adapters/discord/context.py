"""Who acts, where, and how they are answered.

`Origin.reply` of this surface: `channel`, `user`, `limit` (bytes of a file), and either `reply_to` (a
message) or `token`, `expires` (Unix time), `message` (the deferred response), `ephemeral`, `open` (whether
the bot itself is in that place) and `posts` (whether it may send messages there). `again` is the newest
`token` of somebody who came back for the result, with its `expires` and `message`. Tokens are secrets, so
they are sealed: see `vault`.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import discord
from cryptography.fernet import Fernet

from bot.adapters.discord.layout import LEAST_LIMIT
from bot.i18n.speech import nearest
from bot.models import EVERYWHERE, Job, Member, Origin

Interaction = discord.Interaction[Any]

TOKEN_SECONDS = 15 * 60.0


def vault(client: discord.Client) -> Fernet:
    """Return what encrypts interaction tokens for the database, with a key made from the bot's token."""
    return _keyed(str(client.http.token))


@lru_cache(maxsize=1)
def _keyed(token: str) -> Fernet:
    digest = hashlib.sha256(f"interaction tokens of {token}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def member_of(interaction: Interaction) -> Member:
    """Return who acts. A server is a tenant, and so is each direct message and each group."""
    user = interaction.user
    if interaction.guild_id:
        tenant = f"discord:{interaction.guild_id}"
    elif interaction.context.private_channel:
        tenant = f"discord:group:{interaction.channel_id}"
    else:
        tenant = f"discord:dm:{user.id}"
    return Member(
        tenant=tenant,
        id=f"discord:{user.id}",
        name=user.display_name,
        admin=bool(interaction.guild_id) and interaction.permissions.manage_guild,
        roles=roles_of(user),
        moderates=_moderates(user, interaction.channel, interaction.permissions),
    )


def of_interaction(interaction: Interaction, message: int, *, ephemeral: bool) -> Origin:
    """Return who acts, where, and how they are answered. `message` is the response's id."""
    return Origin(
        surface="discord",
        member=member_of(interaction),
        channel=channel_of(interaction.channel),
        event=str(interaction.id),
        private=ephemeral,
        adult=is_adult(interaction.channel),
        seen_in=seen_in(interaction.channel),
        direct=interaction.guild_id is None,
        language=nearest(str(interaction.locale)),
        reply={
            "channel": interaction.channel_id,
            "user": interaction.user.id,
            "limit": interaction.filesize_limit,
            "token": vault(interaction.client).encrypt(interaction.token.encode()).decode(),
            "expires": time.time() + TOKEN_SECONDS,
            "message": message,
            "ephemeral": ephemeral,
            "open": _is_open(interaction),
            "posts": _may_post(interaction),
        },
    )


def _is_open(interaction: Interaction) -> bool:
    """Tell whether the bot itself may edit there, as it must once the token has ended."""
    sees = interaction.is_guild_integration() and interaction.app_permissions.view_channel
    return sees or interaction.context.dm_channel


def _may_post(interaction: Interaction) -> bool:
    """Tell whether the bot itself may send a new message with files there."""
    may = interaction.app_permissions
    thread = isinstance(interaction.channel, discord.Thread)
    speaks = may.send_messages_in_threads if thread else may.send_messages
    return _is_open(interaction) and (interaction.context.dm_channel or (speaks and may.attach_files))


def needs_us(job: Job) -> bool:
    """Tell whether the bot itself must be in the job's server; a person may also bring it along alone."""
    reply = job.origin.reply
    return not reply.get("token") or bool(reply.get("open"))


def by_token_alone(job: Job) -> bool:
    """Tell whether only a token reaches the message of a job that has not ended."""
    reply = job.origin.reply
    return not job.state.ended and bool(reply.get("token")) and (job.origin.private or not reply["open"])


def _moderates(
    person: discord.User | discord.Member, channel: Any, here: discord.Permissions
) -> tuple[str, ...]:
    """Return where they may manage messages: in the channel by permissions `here`, everywhere by roles."""
    if not isinstance(person, discord.Member):
        return ()
    known = person.guild.default_role is not None  # a server that is not in the cache has no roles
    everywhere = known and person.guild_permissions.manage_messages
    return (*([EVERYWHERE] if everywhere else []), *([channel_of(channel)] if here.manage_messages else []))


def roles_of(person: discord.User | discord.Member) -> tuple[str, ...]:
    """Return ids of a member's roles from the event; `roles` knows only servers in the cache."""
    return tuple(map(str, getattr(person, "_roles", ())))


def channel_of(channel: Any) -> str:
    """Return the channel that rules and budgets know: for a thread, the channel that it belongs to."""
    if isinstance(channel, discord.Thread):
        return str(channel.parent_id)
    return str(channel.id) if channel else ""


def is_adult(channel: Any) -> bool:
    """Tell whether a channel, or a thread's channel, is age-restricted. Direct messages never are."""
    asked = getattr(channel, "is_nsfw", None)
    return bool(asked and asked())


def seen_in(channel: Any) -> tuple[str, ...]:
    """Return the place itself if not everybody in the server can see it: its pictures are seen only there.

    A server or channel that is not in the cache counts as closed. Direct messages are a tenant of their own.
    """
    guild = getattr(channel, "guild", None)
    if guild is None:
        return ()
    if isinstance(channel, discord.Thread) and channel.is_private():
        return (str(channel.id),)
    place, everyone = guild.get_channel(int(channel_of(channel))), guild.default_role
    is_open = place and everyone and place.permissions_for(everyone).view_channel
    return () if is_open else (channel_of(channel),)


def of_message(message: discord.Message) -> Origin:
    """Return who wrote, where, and how they are answered."""
    author = message.author
    tenant = f"discord:{message.guild.id}" if message.guild else f"discord:dm:{author.id}"
    admin = isinstance(author, discord.Member) and author.guild_permissions.manage_guild
    return Origin(
        surface="discord",
        member=Member(
            tenant=tenant,
            id=f"discord:{author.id}",
            name=author.display_name,
            admin=admin,
            roles=roles_of(author),
            moderates=_moderates(author, message.channel, _permissions(message)),
        ),
        channel=channel_of(message.channel),
        event=str(message.id),
        adult=is_adult(message.channel),
        seen_in=seen_in(message.channel),
        direct=message.guild is None,
        language=_language_of(message),
        reply={
            "channel": message.channel.id,
            "user": author.id,
            "limit": limit_of(message),
            "reply_to": message.id,
        },
    )


@dataclass(frozen=True, slots=True)
class Reacted:
    """A reaction that somebody put on the message of a job."""

    client: discord.Client
    event: discord.RawReactionActionEvent
    job: Job


def of_reaction(reacted: Reacted) -> Origin:
    """Return who reacted, and where. In direct messages, a job's person is who they were when they asked."""
    event, job, user = reacted.event, reacted.job, reacted.event.user_id
    guild = reacted.client.get_guild(event.guild_id) if event.guild_id else None
    channel = guild.get_channel_or_thread(event.channel_id) if guild else None
    person = event.member
    if event.guild_id is None and job.origin.member.id == f"discord:{user}":
        member = job.origin.member
    else:
        tenant = f"discord:{event.guild_id}" if event.guild_id else f"discord:dm:{user}"
        here = channel.permissions_for(person) if channel and person and guild else None
        member = Member(
            tenant=tenant,
            id=f"discord:{user}",
            name=person.display_name if person else "",
            admin=bool(guild and person and person.guild_permissions.manage_guild),
            roles=roles_of(person) if person else (),
            moderates=_moderates(person, channel, here or discord.Permissions.none()) if person else (),
        )
    return Origin(
        surface="discord",
        member=member,
        channel=channel_of(channel) or str(event.channel_id),
        event=f"reaction:{event.message_id}:{user}:{event.emoji.name}",
        seen_in=seen_in(channel) if channel else (str(event.channel_id),),
        direct=True,  # it is answered by a direct message
        language=nearest(str(guild.preferred_locale)) if guild else job.origin.language,
        reply={"channel": event.channel_id, "user": user},
    )


def _language_of(message: discord.Message) -> str:
    """Return the server's language: a message does not tell the language of its author's Discord."""
    return nearest(str(message.guild.preferred_locale)) if message.guild else ""


def _permissions(message: discord.Message) -> discord.Permissions:
    """Return what the author may do in the message's channel; nothing where that is not known."""
    channel, author = message.channel, message.author
    known = isinstance(channel, discord.abc.GuildChannel | discord.Thread) and message.guild is not None
    if not (known and isinstance(author, discord.Member) and author.guild.default_role):
        return discord.Permissions.none()
    return channel.permissions_for(author)


def limit_of(message: discord.Message) -> int:
    return message.guild.filesize_limit if message.guild else LEAST_LIMIT
