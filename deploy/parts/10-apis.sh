# shellcheck shell=bash
# Google's services, and what can only be asked for once they are on.
step "APIs"

apis=(artifactregistry bigquery cloudbuild cloudscheduler firestore iam iamcredentials iap logging
  monitoring pubsub run secretmanager storage workflowexecutions workflows)
missing=()
see services list --enabled '--format=value(config.name)' || true
for api in "${apis[@]/%/.googleapis.com}"; do
  grep -qxF "$api" <<<"$LOOKED" || missing+=("$api")
done
if ((${#missing[@]})); then cloud services enable "${missing[@]}"; else kept "every API"; fi

if [[ ! $DRY_RUN ]]; then
  see run regions list '--format=value(locationId)' || true
  grep -qxF "$REGION" <<<"$LOOKED" ||
    fail "REGION is '$REGION'; set it to one of $(paste -sd' ' - <<<"$LOOKED")"
  look bq --headless=true "--project_id=$PROJECT" --format=json show "${EXPORT/./:}" ||
    fail "there is no dataset $EXPORT; link GA4 to BigQuery, or set EXPORT_DATASET"
  place=$(grep -oE '"location": *"[^"]+"' <<<"$LOOKED" | cut -d'"' -f4)
  [[ ${place,,} == "${LOCATION,,}" ]] ||
    fail "$EXPORT is in $place, not in $LOCATION; set LOCATION=$place before anything is made"
fi
