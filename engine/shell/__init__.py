"""The command shell: a line typed by a person or a program → one call of the client → an answer for either.

    app         picks the way of driving and owns the exit code
    prompt      on a terminal (completion, history)      piped      one command a line from anywhere else
    above_prompt  where what is said goes while somebody types
    runner      a line → its command → what came of it   actions    command → one call of the client
    output      answers for people and for programs      sentences  reports in words
    completion  what a word could become                 history    which words may be kept
    commands    the table of commands                    lines      quoting                  (both pure)
"""
