"""The server: what Headwater knows over HTTP, for pages, scripts and other machines. It loads and runs no code of the users."""
