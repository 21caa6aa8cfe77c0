# shellcheck shell=bash
# A refresh a day. One that still runs is in the way of none: the second ends at once.
step "Schedule"

workflow=projects/$PROJECT/locations/$REGION/workflows/$WORKFLOW
flags=("--location=$REGION" "--schedule=$SCHEDULE" "--time-zone=$TIMEZONE" --http-method=POST
  "--uri=https://workflowexecutions.googleapis.com/v1/$workflow/executions"
  '--message-body={"argument": "{}", "labels": {"source": "schedule"}}'
  "--oauth-service-account-email=$(email cdp-scheduler)"
  --oauth-token-scope=https://www.googleapis.com/auth/cloud-platform
  --attempt-deadline=60s --max-retry-attempts=3)
stamp=$(digest "${flags[@]}")
described="Refreshes the profiles ($stamp)" # jobs have no labels
if see scheduler jobs describe "$WORKFLOW" "--location=$REGION" '--format=value(description)'; then
  if [[ $LOOKED == "$described" ]]; then
    kept "$WORKFLOW"
  else
    cloud scheduler jobs update http "$WORKFLOW" "${flags[@]}" "--description=$described"
  fi
else
  cloud scheduler jobs create http "$WORKFLOW" "${flags[@]}" "--description=$described"
fi
