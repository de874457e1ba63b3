"""Speed of the toolkit against plain torch and transformers; see the README here."""
