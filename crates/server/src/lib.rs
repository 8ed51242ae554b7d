//! The CS265 key-value command language, parsed, executed and served over TCP.
