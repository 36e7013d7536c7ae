"""The command shell: a person or a program types a line, the shell makes one call of the client and prints the answer.

app       chooses between prompt and pipe, and owns the exit code
terminal  a prompt for people                                 piped    one command a line from anywhere else
runner    runs the command of a line, prints its answer       actions  the table of actions; account_, group_, file_
following a download until its end                            ahead    small uploads, several at once
answers   reports as sentences, tables and JSON               reading  lines from a descriptor, passwords
commands  the table of commands (pure)                        lines    quoting and comments (pure)
"""
