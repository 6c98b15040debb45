"""Images that can't be shipped, and aren't taken on trust."""
