"""The command shell: a line typed by a person or a program → one call of the client → an answer for either.

    app       picks the way of driving and owns the exit code
    terminal  a prompt for people                             piped    one command a line from anywhere else
    runner    a line → its command → what came of it          actions  command → its action: one call of the client
    answers   reports in words, tables and JSON
    commands  the table of commands                           lines    quoting                  (both pure)
"""
