"""A trial of the images: builds them and runs the fleet of docker-compose.yml without Docker."""
