"""Place names and addresses (地名地址): normalise, parse, match, reverse; pure functions on texts, frames and arrays."""
