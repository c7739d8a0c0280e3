"""``vchat completion``: the script that a shell reads to complete our words.

bash, zsh and fish come from click; PowerShell's is ours. The script asks the
program itself (``_VCHAT_COMPLETE``), so it never falls behind.
"""

from __future__ import annotations

from typing import ClassVar

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

VARIABLE = "_VCHAT_COMPLETE"
SHELLS = ("bash", "zsh", "fish", "powershell")


@add_completion_class
class PowerShellComplete(ShellComplete):
    """Windows PowerShell 5 and PowerShell 7."""

    name: ClassVar[str] = "powershell"
    source_template: ClassVar[str] = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $ast, $cursor)
    $line = $ast.Extent.Text
    $length = [Math]::Min($cursor - $ast.Extent.StartOffset, $line.Length)
    $env:COMP_WORDS = $line.Substring(0, $length)
    $env:COMP_WORD = $word
    $env:%(complete_var)s = 'powershell_complete'
    try {
        & %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:COMP_WORDS, Env:COMP_WORD, Env:%(complete_var)s
    }
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        import os

        words = split_arg_string(os.environ.get("COMP_WORDS", ""))[1:]
        word = os.environ.get("COMP_WORD", "")
        return (words[:-1] if word and words else words), word

    def format_completion(self, item: CompletionItem) -> str:
        """One line: value, tabulator, help."""
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(vchat completion bash)", zsh likewise; fish: vchat completion fish |
    source; PowerShell: vchat completion powershell | Out-String | Invoke-Expression.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(context.find_root().command, {}, "vchat", VARIABLE).source(), nl=False)
