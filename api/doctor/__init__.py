"""`grantledger doctor`: what an operator would look at, looked at; each finding says what to do.

A check looks at one thing and changes nothing. It tells a problem (something does not work, or
will not), a warning (something that should not stay so) or that all is well.
"""
