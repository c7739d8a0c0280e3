"""The question for a code at a terminal, with Tab completion of its words."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.validation import ValidationError, Validator

from client import words
from vc_core.invite import LINK_SCHEME, InvitationError, parse_invitation
from vc_core.wordlist import completions

# Implementation
MOST = 12
"""Proposals at once; more would only hide the line."""


class CodeCompleter(Completer):
    """The last word of a code, from its first letter on."""

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Words of the list that begin as the last piece does."""
        typed = document.text_before_cursor
        if "@" in typed or typed.startswith(LINK_SCHEME):
            return
        pieces = typed.replace(" ", "-").split("-")
        if len(pieces) < 2 or not pieces[-1]:
            return
        for word in completions(pieces[-1])[:MOST]:
            yield Completion(word, start_position=-len(pieces[-1]))


class CodeValidator(Validator):
    """Says what is wrong before anybody is asked; a misspelling costs no try."""

    def validate(self, document: Document) -> None:
        """``ValidationError`` with our sentence."""
        try:
            parse_invitation(document.text)
        except InvitationError as error:
            message, hint = words.of_invitation(error)
            said = f"{message}: {hint}" if hint else message
            raise ValidationError(len(document.text), said) from error


def ask_for_code() -> str:
    """What the person typed, readable as a code; ``KeyboardInterrupt`` and ``EOFError``."""
    session: PromptSession[str] = PromptSession(
        completer=CodeCompleter(),
        validator=CodeValidator(),
        validate_while_typing=False,
        complete_while_typing=False,
    )
    return session.prompt("code: ").strip()
