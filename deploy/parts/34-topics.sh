# shellcheck shell=bash
# Where messages wait: one a shard, and those that failed too often.
step "Topics"

for topic in "$TOPIC" "$TOPIC-dead"; do
  if see pubsub topics describe "$topic" '--format=value(name)'; then
    kept "$topic"
  else
    cloud pubsub topics create "$topic"
  fi
  rights "topic:$topic"
done
