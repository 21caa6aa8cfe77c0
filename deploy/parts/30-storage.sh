# shellcheck shell=bash
# The bucket of shards, manifests, rejected rows and statements. Nothing in it is the only copy, so
# what is deleted is gone at once: it may be personal data.
step "Bucket"

rules='{"rule": [{"action": {"type": "Delete"}, "condition": {"age": %d, "matchesPrefix": ["runs/"]}}]}'
settings=(--uniform-bucket-level-access --public-access-prevention --soft-delete-duration=0)
stamp=$(digest "$rules" "$KEEP_DAYS" "${settings[@]}")
if see storage buckets describe "gs://$BUCKET" '--format=value(labels.cdp)'; then
  found=$LOOKED
else
  cloud storage buckets create "gs://$BUCKET" "--location=$LOCATION" "${settings[@]}"
  found=
fi
if [[ $found == "$stamp" ]]; then
  kept "gs://$BUCKET"
else
  # shellcheck disable=SC2059
  printf -v rules "$rules" "$KEEP_DAYS"
  run mkdir -p "$BUILD"
  write "$rules" "$BUILD/lifecycle.json"
  cloud storage buckets update "gs://$BUCKET" "${settings[@]}" \
    "--lifecycle-file=$BUILD/lifecycle.json" "--update-labels=cdp=$stamp"
fi

rights bucket
rights bucket/runs
