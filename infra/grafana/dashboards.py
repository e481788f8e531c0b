"""What the dashboards show. Pure data; `generate.py` makes Grafana's own form of it.

`$deployment_id` is what a person chooses.
"""

from typing import Final

from infra.grafana.panels import RATE, Dashboard, Panel, Query, durations, longest, quantile, sum_of_all

_DECIDED: Final = 'specstream_autoscaler_decisions_total{stored="appended"}'


FLEET: Final = Dashboard(
    "fleet",
    "Specstream: fleet",
    "All deployments together, and those that need somebody. `other`: those without a series of their own.",
    (
        Panel(
            "Replicas",
            "What is in force, and what is ready. Ready is above wanted while a new run takes over.",
            "short",
            (
                Query(sum_of_all("specstream_deployment_wanted"), "wanted"),
                Query(sum_of_all("specstream_deployment_ready"), "ready"),
            ),
        ),
        Panel(
            "Requests",
            "Of the ten deployments with the most; and all that no replica answered.",
            "reqps",
            (
                Query(
                    f"topk(10, sum by (deployment_id) (rate(specstream_requests_answered_total{RATE})))",
                    "{{deployment_id}}",
                ),
                Query(f"sum(rate(specstream_requests_unanswered_total{RATE})) or vector(0)", "unanswered"),
            ),
        ),
        Panel(
            "Fewer ready than wanted",
            "For how long, of the ten that are so for longest. 0: it has what it is to have.",
            "s",
            (longest("specstream_deployment_short_for_seconds"),),
        ),
        Panel(
            "At the maximum",
            "For how long the number has been `maxReplicas`: more load finds no more replicas.",
            "s",
            (longest("specstream_autoscaler_at_ceiling_for_seconds"),),
        ),
        Panel(
            "Measurements unknown",
            "For how long something has been unknown that a deployment scales by: its number is held.",
            "s",
            (longest("specstream_autoscaler_unknown_for_seconds"),),
        ),
        Panel(
            "Changes of direction in half an hour",
            "More than four: the number goes up and down for little.",
            "short",
            (longest("specstream_autoscaler_direction_changes"),),
        ),
        Panel(
            "Decisions",
            "Changes of a number that were stored, by their reason.",
            "ops",
            (
                Query(
                    f"sum by (reason) (rate({_DECIDED}{RATE}))",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Checks",
            "Attempts by outcome. `probererror`: it could not be made, which is no fault of a replica.",
            "ops",
            (Query(f"sum by (outcome) (rate(specstream_health_probes_total{RATE}))", "{{outcome}}"),),
        ),
        Panel(
            "Failed checks",
            "Of the ten deployments with the most.",
            "ops",
            (
                Query(
                    f"topk(10, sum by (deployment_id) (rate(specstream_health_failed_probes_total{RATE})))",
                    "{{deployment_id}}",
                ),
            ),
            is_quiet=True,
        ),
    ),
)

_CHOSEN = '{deployment_id="$deployment_id"}'

DEPLOYMENT: Final = Dashboard(
    "deployment",
    "Specstream: deployment",
    "One deployment. `specstream explain` has the arithmetic of its number, `specstream metrics` its load.",
    (
        Panel(
            "Replicas",
            "What is in force, and what is ready.",
            "short",
            (
                Query(f"max(specstream_deployment_wanted{_CHOSEN})", "wanted"),
                Query(f"max(specstream_deployment_ready{_CHOSEN})", "ready"),
            ),
        ),
        Panel(
            "Requests",
            "Answered by a replica, those of them with a status of 500 or higher, and unanswered.",
            "reqps",
            (
                Query(f"sum(rate(specstream_requests_answered_total{_CHOSEN}{RATE}))", "answered"),
                Query(
                    f"sum(rate(specstream_requests_server_errors_total{_CHOSEN}{RATE})) or vector(0)",
                    "500 or higher",
                ),
                Query(
                    f"sum(rate(specstream_requests_unanswered_total{_CHOSEN}{RATE})) or vector(0)",
                    "unanswered",
                ),
            ),
        ),
        Panel(
            "Duration of requests",
            "On average, from a request's first byte to its answer's last.",
            "s",
            (
                Query(
                    f"sum(rate(specstream_requests_duration_seconds_total{_CHOSEN}{RATE})) / "
                    f"sum(rate(specstream_requests_answered_total{_CHOSEN}{RATE}))",
                    "average",
                ),
            ),
        ),
        Panel(
            "In flight",
            "At all edges, where somebody called in the last minute or the policy goes by it.",
            "short",
            (Query(f"sum(specstream_deployment_in_flight{_CHOSEN})", "in flight"),),
        ),
        Panel(
            "Processors",
            "Cores that the replicas use together.",
            "short",
            (Query(f"max(specstream_deployment_cpu{_CHOSEN})", "cores"),),
        ),
        Panel(
            "Memory",
            "Of the replicas together, without the cache of files.",
            "bytes",
            (Query(f"max(specstream_deployment_memory_bytes{_CHOSEN})", "memory"),),
        ),
        Panel(
            "GPUs",
            "Of the replicas together; 100 % is one whole GPU. Only where their driver tells it by process.",
            "percent",
            (Query(f"max(specstream_deployment_gpu_percent{_CHOSEN})", "GPUs"),),
            is_quiet=True,
        ),
        Panel(
            "Something is amiss for",
            "0: it is not so. Only what scales by load can be at its maximum, or lack measurements.",
            "s",
            (
                Query(f"max(specstream_deployment_short_for_seconds{_CHOSEN})", "fewer ready than wanted"),
                Query(f"max(specstream_autoscaler_at_ceiling_for_seconds{_CHOSEN})", "at the maximum"),
                Query(f"max(specstream_autoscaler_unknown_for_seconds{_CHOSEN})", "measurements unknown"),
            ),
        ),
        Panel(
            "Changes of direction in half an hour",
            "How often the number turned from up to down, or back.",
            "short",
            (Query(f"max(specstream_autoscaler_direction_changes{_CHOSEN})", "changes"),),
        ),
        Panel(
            "Failed checks",
            "Attempts of its replicas' checks that failed.",
            "ops",
            (Query(f"sum(rate(specstream_health_failed_probes_total{_CHOSEN}{RATE}))", "failed"),),
            is_quiet=True,
        ),
    ),
    chooses=("deployment_id", "specstream_deployment_wanted"),
)

PLATFORM: Final = Dashboard(
    "platform",
    "Specstream: platform",
    "The services, the log between them, and the way to Envoy.",
    (
        Panel(
            "Services",
            "1: it answers. Each process of a service has its own line.",
            "short",
            (Query('max by (process) (up{job="specstream"})', "{{process}}"),),
        ),
        Panel(
            "Leaders",
            "Of services of which one copy leads: how many lead. 0 for more than 8 s: none can.",
            "short",
            (Query("sum by (service) (specstream_lease_held)", "{{service}}"),),
        ),
        Panel(
            "Waiting in the log",
            "Events that are stored and that a service has not taken in.",
            "short",
            (Query("max by (service) (specstream_log_waiting)", "{{service}}"),),
        ),
        Panel(
            "Waiting work",
            "What is not handled yet: changes for the reconciler, commands for the api.",
            "short",
            (Query("max by (service) (specstream_work_waiting)", "{{service}}"),),
        ),
        durations(
            "Append latency",
            "Until the outcome was known.",
            "specstream_log_append_duration_seconds",
            "service",
        ),
        Panel(
            "Appends",
            "By outcome. `conflict`: somebody else was first, and it is decided again.",
            "ops",
            (
                Query(
                    f"sum by (outcome) (rate(specstream_log_append_duration_seconds_count{RATE}))",
                    "{{outcome}}",
                ),
            ),
        ),
        durations(
            "Transactions of the read models",
            "By which an api makes what is listed and read of the log.",
            "specstream_readmodels_transaction_duration_seconds",
            "process",
        ),
        Panel(
            "Age of samples",
            "How long ago the autoscaler received the newest of each kind.",
            "s",
            (Query("min by (kind) (specstream_samples_age_seconds)", "{{kind}}"),),
        ),
        Panel(
            "Age of decisions",
            "How long ago any deployment that scales by load was decided about, at most.",
            "s",
            (Query("max(specstream_autoscaler_decision_age_seconds)", "oldest"),),
        ),
        Panel(
            "xDS push time",
            "From sending Envoy a response until it answered, 99 of 100.",
            "s",
            (
                Query(
                    quantile(0.99, "specstream_router_xds_push_duration_seconds", "type"),
                    "{{type}}",
                ),
            ),
        ),
        Panel(
            "Refused by Envoy",
            "Responses, by type. Envoy serves on with what it had.",
            "short",
            (
                Query(
                    f"sum by (type) (increase(specstream_router_xds_rejections_total{RATE}))",
                    "{{type}}",
                ),
            ),
            is_quiet=True,
        ),
        Panel(
            "Samples that are no use",
            "Dropped, since they cannot be right; lost, since METRICS did not take them.",
            "ops",
            (
                Query(
                    f"sum by (reason) (rate(specstream_samples_dropped_total{RATE}))", "dropped: {{reason}}"
                ),
                Query(f"sum by (kind) (rate(specstream_samples_lost_total{RATE}))", "lost: {{kind}}"),
            ),
            is_quiet=True,
        ),
        Panel(
            "Errors of the broker",
            "As it reported them, by who was told.",
            "ops",
            (Query(f"sum by (service) (rate(specstream_bus_errors_total{RATE}))", "{{service}}"),),
            is_quiet=True,
        ),
    ),
)

DASHBOARDS: Final = (FLEET, DEPLOYMENT, PLATFORM)
