#!/usr/bin/env bash
# Delete what deploy.sh made; see docs/deploy.md. The GA4 export is never touched, and what people's
# profiles need to live on is kept unless --with-profiles says so.
set -euo pipefail

usage() {
  cat <<'TEXT'
deploy/destroy.sh [--dry-run] [--with-profiles] [--config FILE] [--project ID]

  --dry-run        print every command, and run none
  --with-profiles  the platform's documents in Firestore and the salt of profile ids, too
TEXT
}

CONFIG='' DRY_RUN='' GIVEN_PROJECT='' PROFILES=''
while (($#)); do
  case $1 in
    --dry-run) DRY_RUN=1 ;;
    --with-profiles) PROFILES=1 ;;
    --config | --project)
      (($# > 1)) || { usage >&2; exit 2; }
      if [[ $1 == --config ]]; then CONFIG=$(realpath "$2"); else GIVEN_PROJECT=$2; fi
      shift ;;
    --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# All that the platform writes there; other collections are others'.
COLLECTIONS=(profiles audit counters dead_letters decisions leases meta receipts reports reveals
  runs sign_in_attempts users)

DOOMED=() # names, for the list; and below them the commands
COMMANDS=()
doom() { # WHAT COMMAND...
  DOOMED+=("$1")
  shift
  COMMANDS+=("$(shown "$@")")
}

# What is absent needs no command; in a dry run everything is there.
there() { [[ $DRY_RUN ]] || look "$@"; }

gone() { # WHAT GROUP... -- NAME [FLAG...]: by `gcloud GROUP describe`, `gcloud GROUP delete`
  local what=$1 group=()
  shift
  while [[ $1 != -- ]]; do group+=("$1"); shift; done
  shift
  if there gcloud "${group[@]}" describe "$@" "--project=$PROJECT"; then
    doom "$what" gcloud "${group[@]}" delete "$@" "--project=$PROJECT" --quiet
  fi
}

configure "${CONFIG:-deploy/config.env}"
place=("--region=$REGION")

gone "the schedule $WORKFLOW" scheduler jobs -- "$WORKFLOW" "--location=$REGION"
gone "the workflow $WORKFLOW" workflows -- "$WORKFLOW" "--location=$REGION"
for name in "$TOPIC-ingest" "$TOPIC-bury"; do
  gone "the subscription $name, with what waits on it" pubsub subscriptions -- "$name"
done
for name in "$TOPIC" "$TOPIC-dead"; do gone "the topic $name" pubsub topics -- "$name"; done
for name in cdp-console cdp-bury cdp-ingest cdp-steps; do
  gone "the service $name" run services -- "$name" "${place[@]}"
done
for file in deploy/alerts/*.json; do
  name=$(basename "$file" .json)
  find=(alpha monitoring policies list "--filter=userLabels.cdp=\"$name\"" '--format=value(name)')
  if [[ ! $DRY_RUN ]] && see "${find[@]}" && [[ $LOOKED ]]; then
    doom "the alert $name" gcloud alpha monitoring policies delete "$LOOKED" "--project=$PROJECT" --quiet
  fi
done
for dataset in "$DATASET" "${DATASET}_a" "${DATASET}_b"; do
  if there bq --headless=true "--project_id=$PROJECT" show "$PROJECT:$dataset"; then
    what="the dataset $dataset"
    if [[ $dataset == "$DATASET" ]]; then what+=", with the links and decisions that were loaded"; fi
    doom "$what" \
      bq --headless=true "--project_id=$PROJECT" rm -r -f -d "$PROJECT:$dataset"
  fi
done
if there gcloud storage buckets describe "gs://$BUCKET" "--project=$PROJECT"; then
  doom "the bucket $BUCKET with all its objects" \
    gcloud storage rm "gs://$BUCKET" --recursive "--project=$PROJECT"
fi
gone "the secret cdp-cookie-key" secrets -- cdp-cookie-key
if [[ $PROFILES ]]; then
  gone "the secret cdp-salt: nobody's id can be made again" secrets -- cdp-salt
  if there gcloud firestore databases describe "--database=$DATABASE" "--project=$PROJECT"; then
    doom "every profile, account, run and row of the audit log in the database $DATABASE" \
      gcloud firestore bulk-delete "--database=$DATABASE" "--collection-ids=$(printf '%s\n' "${COLLECTIONS[@]/#/cdp_}" | paste -sd, -)" \
      "--project=$PROJECT" --quiet
  fi
fi
# Rights go with their resources. Those on the project and on the export name the account.
for account in "${ACCOUNTS[@]}"; do
  while IFS=$'\t' read -r owner role on _; do
    if [[ $owner == "$account" && ($on == project || $on == database || $on == export) ]]; then
      policy_of "$on"
      revoke=(gcloud projects remove-iam-policy-binding "$PROJECT" "--member=$(member "$account")"
        "--role=$role" "${CONDITION[@]}" --format=none)
      if [[ $SCHEMA ]]; then
        revoke=(bq --headless=true "--project_id=$PROJECT" "--location=$LOCATION" query
          --use_legacy_sql=false
          "REVOKE \`$role\` ON SCHEMA \`${SCHEMA/./\`.\`}\` FROM \"$(member "$account")\"")
      fi
      if [[ $DRY_RUN ]] || granted "$(member "$account")" "$role"; then
        doom "$account's right to $role" "${revoke[@]}"
      fi
    fi
  done <deploy/rights.tsv
  gone "the account $account" iam service-accounts -- "$(email "$account")"
done

if ((!${#DOOMED[@]})); then
  echo "There is nothing of the platform in $PROJECT."
  exit
fi
printf '# To be deleted from %s:\n' "$PROJECT"
printf '#   %s\n' "${DOOMED[@]}"
echo "# Kept: the GA4 export, Google's own bucket and repository of builds, the roles cdpPublisher and cdpStopper"
if [[ ! $PROFILES ]]; then echo "# and, without --with-profiles, Firestore's documents and cdp-salt"; fi
if [[ ! $DRY_RUN ]]; then
  read -rp "Type the project's name to delete this: " typed
  [[ $typed == "$PROJECT" ]] || fail "that is not $PROJECT; nothing was deleted"
fi
for command in "${COMMANDS[@]}"; do
  printf '%s\n' "$command"
  if [[ ! $DRY_RUN ]]; then eval "$command"; fi
done
