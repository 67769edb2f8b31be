"""One module a console command; `shadow_router.cli` is the way in."""
