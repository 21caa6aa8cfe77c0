"""The parts of a profile's page; `cdp.ui.profile_page` puts them together."""
