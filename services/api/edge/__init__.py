"""The two edges of the api, where input is read strictly: REST, and the commands of other systems."""
