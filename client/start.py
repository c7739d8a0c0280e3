"""The first lines of ``vchat``, where Ctrl-C is heard before anything else is loaded."""


def main() -> int:
    """The program; the exit code."""
    try:
        from client.cli import main

        return main()
    except KeyboardInterrupt:  # before ``client.cli`` could say it in its own manner
        return 130
