"""Users of the NATS server besides the services, which have their own names."""

PROVISION_USER = "provision"
MIRROR_USER = "provision-mirror"
COMMANDS_USER = "commands"
