# shellcheck shell=bash disable=SC2016,SC2034 # printed variables; what the parts use
# What deploy.sh and destroy.sh share: settings, how commands are shown and run, rights.

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) ||
  { echo "bash 4.4 or newer is needed; Cloud Shell has it" >&2; exit 1; }

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/.." || exit 1 # every path below begins at the repository's root
BUILD=deploy/.build
DRY_RUN=${DRY_RUN:-}
PAUSE=${CDP_DEPLOY_PAUSE:-10} # seconds between attempts
PYTHON=${PYTHON:-.venv/bin/python}
LOOKED=
AGENTS=' '
ERRORS=$(mktemp)
trap 'rm -f "$ERRORS"' EXIT
export CLOUDSDK_CORE_DISABLE_PROMPTS=1

# Names that nobody needs to choose; the first two are settings with these defaults.
TOPIC=cdp-shards
WORKFLOW=cdp-refresh
ACCOUNTS=(cdp-workflow cdp-steps cdp-ingest cdp-console cdp-push cdp-scheduler cdp-build)
SECRETS=(cdp-salt cdp-cookie-key)
SALT_VERSION=1 # for ever: another salt gives everybody another profile id

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

step() { printf '\n# %s\n' "$*"; }

kept() { printf '# %s is there\n' "$*"; }

# --- settings -------------------------------------------------------------------------------------

configure() { # FILE
  # shellcheck source=/dev/null
  if [[ -f $1 ]]; then source "$1"; else fail "$1 is missing; copy deploy/config.env.example to it"; fi
  PROJECT=${GIVEN_PROJECT:-${PROJECT:-}}
  [[ ${PROJECT:-} ]] || fail "PROJECT is empty; set it in $1, or say --project ID"
  [[ ${EXPORT_DATASET:-} ]] || fail "EXPORT_DATASET is empty; set it in $1 to what GA4 exports into"
  LOCATION=${LOCATION:-EU} REGION=${REGION:-europe-west1} TIMEZONE=${TIMEZONE:-UTC}
  PROPERTY=${PROPERTY:-default} CURRENCY=${CURRENCY:-} POLICY=${POLICY:-}
  DATASET=${DATASET:-cdp} BUCKET=${BUCKET:-$PROJECT-cdp} DATABASE=${DATABASE:-composable-cdp}
  SCHEDULE=${SCHEDULE:-0 6 * * *} KEEP_DAYS=${KEEP_DAYS:-30} 
  MAXIMUM_BYTES_BILLED=${MAXIMUM_BYTES_BILLED:-1000000000000}
  QUESTION_BYTES_BILLED=${QUESTION_BYTES_BILLED:-20000000000}
  ALERT_EMAIL=${ALERT_EMAIL:-} CONSOLE_ACCESS=${CONSOLE_ACCESS:-iap}
  CONSOLE_MEMBERS=${CONSOLE_MEMBERS:-}
  INGEST_INSTANCES=${INGEST_INSTANCES:-10} RAMP=${RAMP:-500} CONSOLE_INSTANCES=${CONSOLE_INSTANCES:-0}
  case ${DATABASE_LOCATION:-}:$LOCATION in
    :EU) DATABASE_LOCATION=eur3 ;;
    :US) DATABASE_LOCATION=nam5 ;;
    :*) DATABASE_LOCATION=$LOCATION ;;
  esac
  EXPORT=$EXPORT_DATASET
  [[ $EXPORT == *.* ]] || EXPORT=$PROJECT.$EXPORT
  local name
  for name in PROJECT EXPORT_DATASET LOCATION REGION TIMEZONE PROPERTY CURRENCY DATASET BUCKET \
    DATABASE DATABASE_LOCATION MAXIMUM_BYTES_BILLED QUESTION_BYTES_BILLED; do
    [[ ${!name} =~ ^[A-Za-z0-9()_.:/+-]*$ ]] || fail "$name is '${!name}'; it holds what no name has"
  done
  for name in KEEP_DAYS INGEST_INSTANCES RAMP CONSOLE_INSTANCES; do
    [[ ${!name} =~ ^[0-9]+$ ]] || fail "$name is '${!name}'; set it to a whole number"
  done
  [[ $CONSOLE_ACCESS == iap || $CONSOLE_ACCESS == public ]] ||
    fail "CONSOLE_ACCESS is '$CONSOLE_ACCESS'; set it to iap or public"
  [[ -z $POLICY || -f $POLICY ]] || fail "POLICY is '$POLICY'; there is no such file"
  number
}

# A project's number never changes. A dry run asks nobody: it prints how to ask.
number() {
  if [[ ${PROJECT_NUMBER:-} ]]; then return; fi
  local ask=(gcloud projects describe "$PROJECT" '--format=value(projectNumber)')
  if [[ $DRY_RUN ]]; then
    printf 'PROJECT_NUMBER=$(%s)\n' "$(shown "${ask[@]}")"
    PROJECT_NUMBER='$PROJECT_NUMBER'
  else
    PROJECT_NUMBER=$("${ask[@]}") ||
      fail "the project $PROJECT cannot be read; create it, or ask its owner for access"
  fi
}

# Each instance holds back its own writes only: they share what Firestore takes at first.
each_ramp() { echo $(((RAMP + INGEST_INSTANCES - 1) / (INGEST_INSTANCES > 0 ? INGEST_INSTANCES : 1))); }

# What the functions and the console are told, NAME=VALUE a line.
environment() {
  printf '%s\n' CDP_DEPLOYMENT=gcp "CDP_PROJECT=$PROJECT" "CDP_REGION=$REGION" \
    "CDP_LOCATION=$LOCATION" "CDP_EXPORT_DATASET=$EXPORT_DATASET" "CDP_DATASET=$DATASET" \
    "CDP_BUCKET=$BUCKET" "CDP_DATABASE=$DATABASE" "CDP_TOPIC=$TOPIC" "CDP_WORKFLOW=$WORKFLOW" \
    "CDP_PROPERTY=$PROPERTY" "CDP_TIMEZONE=$TIMEZONE" "CDP_RAMP=$(each_ramp)" \
    "CDP_MAXIMUM_BYTES_BILLED=$MAXIMUM_BYTES_BILLED" \
    "CDP_QUESTION_BYTES_BILLED=$QUESTION_BYTES_BILLED"
  if [[ $CURRENCY ]]; then echo "CDP_CURRENCY=$CURRENCY"; fi
}

# The same, joined by commas, with the policy's place beside the packaged code.
joined_environment() {
  { environment; if [[ $POLICY ]]; then echo CDP_POLICY=policy.toml; fi; } | paste -sd, -
}

email() { echo "$1@$PROJECT.iam.gserviceaccount.com"; } # ACCOUNT

url() { echo "https://$1-$PROJECT_NUMBER.$REGION.run.app"; } # SERVICE

# --- commands -------------------------------------------------------------------------------------

# Print a command as a shell reads it.
shown() {
  local line='' arg flag
  for arg; do
    flag=''
    if [[ $arg =~ ^--[a-z_-]+= ]]; then flag=${BASH_REMATCH[0]}; fi
    arg=${arg#"$flag"}
    case $arg in
      *'$PROJECT_NUMBER'* | *'$CHANNEL'*) # a dry run's own variables, which a shell is to fill in
        arg=${arg//\\/\\\\}
        arg="\"${arg//\"/\\\"}\"" ;;
      *[!A-Za-z0-9_@%+=:,./-]*) arg=${arg@Q} ;;
    esac
    line+=" $flag${arg:-\'\'}"
  done
  printf '%s\n' "${line# }"
}

run() {
  shown "$@"
  if [[ ! $DRY_RUN ]]; then "$@"; fi
}

cloud() { run gcloud "$@" "--project=$PROJECT"; }

write() { # TEXT FILE
  printf 'printf %%s %s > %s\n' "$(shown "$1")" "$2"
  if [[ ! $DRY_RUN ]]; then printf %s "$1" >"$2"; fi
}

# Run a command that may come too early: new accounts and rights take their time to be known.
patiently() {
  local attempt
  for attempt in 1 2 3 4 5; do
    if run "$@"; then return; fi
    echo "# attempt $attempt of 6 failed; trying again in $PAUSE s"
    sleep "$PAUSE"
  done
  run "$@"
}

# Set LOOKED to what a describing command says; false where it finds nothing. In a dry run nothing
# is there. Any other error ends the deployment: what cannot be seen is not known to be absent.
look() {
  LOOKED=
  if [[ $DRY_RUN ]]; then return 1; fi
  if LOOKED=$("$@" 2>"$ERRORS"); then return; fi
  if grep -qiE 'not.?found|cannot find|does not exist' "$ERRORS" - <<<"$LOOKED"; then # bq: stdout
    LOOKED=
    return 1
  fi
  cat "$ERRORS" - <<<"$LOOKED" >&2
  fail "this failed: $(shown "$@")"
}

see() { look gcloud "$@" "--project=$PROJECT"; }

# What was made carries the digest of how, as its label: the same digest has nothing to change.
digest() {
  local text
  text=$(printf '%s\n' "$@")
  printf "%s" "${text//"-$PROJECT_NUMBER."/-N.}" | openssl dgst -sha256 -r | cut -c1-16
}

# The digest of files, by name and content.
digest_of() {
  find "$@" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z |
    xargs -0 openssl dgst -sha256 -r | openssl dgst -sha256 -r | cut -c1-16
}

# --- rights ---------------------------------------------------------------------------------------

# Grant what deploy/rights.tsv lists for one resource.
rights() { # ON
  local account role on why
  policy_of "$1"
  while IFS=$'\t' read -r account role on why; do
    if [[ $on == "$1" ]]; then grant "$(member "$account")" "${role/PROJECT/$PROJECT}"; fi
  done <deploy/rights.tsv
}

member() { # ACCOUNT
  case $1 in
    *-agent) echo "serviceAccount:service-$PROJECT_NUMBER@gcp-sa-${1%-agent}.iam.gserviceaccount.com" ;;
    *) echo "serviceAccount:$(email "$1")" ;;
  esac
}

# Set how the policy of a resource is read and changed: GROUP, TARGET, CONDITION, TITLE, GRANTED.
policy_of() { # ON
  local name=${1#*:} expression=''
  CONDITION=() TITLE='' GRANTED='' SCHEMA=''
  case $1 in
    project) GROUP=(projects) TARGET=("$PROJECT") CONDITION=(--condition=None) ;;
    database) # Firestore's roles are the project's; the condition narrows them to one database
      GROUP=(projects) TARGET=("$PROJECT") TITLE=cdp-database
      expression="resource.name == \"projects/$PROJECT/databases/$DATABASE\"" ;;
    bucket) GROUP=(storage buckets) TARGET=("gs://$BUCKET") CONDITION=(--condition=None) ;;
    bucket/runs)
      GROUP=(storage buckets) TARGET=("gs://$BUCKET") TITLE=cdp-runs
      expression="resource.name.startsWith(\"projects/_/buckets/$BUCKET/objects/runs/\")" ;;
    topic:*) GROUP=(pubsub topics) TARGET=("$name") ;;
    subscription:*) GROUP=(pubsub subscriptions) TARGET=("$name") ;;
    secret:*) GROUP=(secrets) TARGET=("$name") ;;
    service:*) GROUP=(run services) TARGET=("$name" "--region=$REGION") ;;
    account:*) GROUP=(iam service-accounts) TARGET=("$(email "$name")") ;;
    dataset) SCHEMA=$PROJECT.$DATASET ;;
    dataset_?) SCHEMA=$PROJECT.$DATASET${1#dataset} ;;
    export) SCHEMA=$EXPORT ;;
    *) fail "deploy/rights.tsv: there is no resource $1" ;;
  esac
  if [[ $expression ]]; then CONDITION=("--condition=expression=$expression,title=$TITLE"); fi
  if [[ $SCHEMA ]]; then
    if look bq --headless=true "--project_id=$PROJECT" --format=json show "${SCHEMA/./:}"; then
      GRANTED=$(tr '}' '\n' <<<"$LOOKED")
    fi
  elif see "${GROUP[@]}" get-iam-policy "${TARGET[@]}" '--flatten=bindings[].members' \
    '--format=value[separator=" "](bindings.role,bindings.members,bindings.condition.title)'; then
    GRANTED=${LOOKED// $'\n'/$'\n'} # without the space where there is no title
    GRANTED=${GRANTED% }
  fi
}

# Whether somebody has a right on what `policy_of` set.
granted() { # MEMBER ROLE
  local entry=$2
  if [[ ! $SCHEMA ]]; then
    grep -qxF "$2 $1${TITLE:+ $TITLE}" <<<"$GRANTED"
    return
  fi
  case $2 in # the names of these in a dataset's list of access
    roles/bigquery.dataViewer) entry=READER ;;
    roles/bigquery.dataEditor) entry=WRITER ;;
  esac
  [[ $(grep -F "\"${1#*:}\"" <<<"$GRANTED") == *"\"$entry\""* ]]
}

grant() { # MEMBER ROLE
  if granted "$@"; then return; fi
  agent "$1"
  if [[ $SCHEMA ]]; then
    patiently bq --headless=true "--project_id=$PROJECT" "--location=$LOCATION" query \
      --use_legacy_sql=false "GRANT \`$2\` ON SCHEMA \`${SCHEMA/./\`.\`}\` TO \"$1\""
  else
    patiently gcloud "${GROUP[@]}" add-iam-policy-binding "${TARGET[@]}" "--member=$1" \
      "--role=$2" "${CONDITION[@]}" "--project=$PROJECT" --format=none
  fi
}

# Have Google make its own account for a service: that is done on demand.
agent() { # MEMBER
  local service=${1#*@gcp-sa-}
  if [[ $1 != *@gcp-sa-* || $AGENTS == *" ${service%%.*} "* ]]; then return; fi
  cloud beta services identity create "--service=${service%%.*}.googleapis.com"
  AGENTS+=" ${service%%.*} "
}
