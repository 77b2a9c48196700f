"""Who is likely a woman or a man, from what people play, and how sure that is."""
