# shellcheck shell=bash
# Delivery: a shard is tried five times with growing pauses, then buried where people see it.
step "Subscriptions"

while read -r name topic service dead; do
  flags=("--push-endpoint=$(url "$service")/" "--push-auth-token-audience=$(url "$service")"
    "--push-auth-service-account=$(email cdp-push)" --ack-deadline=600
    --min-retry-delay=10s --max-retry-delay=600s --message-retention-duration=7d
    --expiration-period=never)
  if [[ $dead != - ]]; then flags+=("--dead-letter-topic=$dead" --max-delivery-attempts=5); fi
  stamp=$(digest "${flags[@]}")
  if see pubsub subscriptions describe "$name" '--format=value(labels.cdp)'; then
    if [[ $LOOKED == "$stamp" ]]; then
      kept "$name"
    else
      cloud pubsub subscriptions update "$name" "${flags[@]}" "--update-labels=cdp=$stamp"
    fi
  else
    cloud pubsub subscriptions create "$name" "--topic=$topic" "${flags[@]}" "--labels=cdp=$stamp"
  fi
  rights "subscription:$name"
done <<END
$TOPIC-ingest $TOPIC      cdp-ingest $TOPIC-dead
$TOPIC-bury   $TOPIC-dead cdp-bury   -
END
