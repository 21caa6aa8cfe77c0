#!/usr/bin/env bash
# Create or update everything that the platform needs in one Google Cloud project; see
# docs/deploy.md. Run it again after any change, and after a run that was cut short.
set -euo pipefail

usage() {
  cat <<'TEXT'
deploy/deploy.sh [--dry-run] [--only PART] [--config FILE] [--project ID] [--env]

  --dry-run      print every command for an empty project, and run none; needs no sign-in
  --only PART    one part, e.g. workflow: the names of the files in deploy/parts, without number
  --config FILE  instead of deploy/config.env
  --project ID   instead of its PROJECT
  --env          print the settings for a .env of your own machine, and end
TEXT
}

CONFIG='' ONLY='' DRY_RUN='' GIVEN_PROJECT='' ENV=''
while (($#)); do
  case $1 in
    --dry-run) DRY_RUN=1 ;;
    --env) ENV=1 DRY_RUN=1 ;;
    --only | --config | --project)
      (($# > 1)) || { usage >&2; exit 2; }
      case $1 in
        --only) ONLY=$2 ;;
        --config) CONFIG=$(realpath "$2") ;;
        --project) GIVEN_PROJECT=$2 ;;
      esac
      shift ;;
    --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $ENV ]]; then
  configure "${CONFIG:-deploy/config.env}" >/dev/null
  environment
  if [[ $POLICY ]]; then echo "CDP_POLICY=$(realpath "$POLICY")"; fi
  exit
fi

# What a deployment needs of this machine.
equipped() {
  local tool account
  for tool in gcloud bq openssl; do
    command -v "$tool" >/dev/null ||
      fail "$tool is missing; install the Google Cloud CLI, or use Cloud Shell"
  done
  account=$(gcloud auth list --filter=status:ACTIVE '--format=value(account)')
  [[ $account ]] || fail "nobody is signed in; run gcloud auth login"
  gcloud auth application-default print-access-token >/dev/null 2>&1 ||
    fail "Python has no credentials; run gcloud auth application-default login"
}

# And of the project.
usable() {
  see projects describe "$PROJECT" '--format=value(lifecycleState)' || true
  [[ $LOOKED == ACTIVE ]] || fail "the project $PROJECT is ${LOOKED:-not there}; set another PROJECT"
  see billing projects describe "$PROJECT" '--format=value(billingEnabled)' || true
  [[ $LOOKED == True ]] || fail "billing is off in $PROJECT; link a billing account to it"
}

[[ -x $(command -v "$PYTHON") ]] || fail "$PYTHON is missing; run make install, or set PYTHON"
if [[ $DRY_RUN ]]; then
  printf '# Every command that deploys to an empty project; none was run.\n'
  configure "${CONFIG:-deploy/config.env}"
else
  equipped
  configure "${CONFIG:-deploy/config.env}"
  usable
fi

known=()
done=
for part in deploy/parts/*.sh; do
  name=${part##*/??-}
  name=${name%.sh}
  known+=("$name")
  if [[ -z $ONLY || $ONLY == "$name" ]]; then
    # shellcheck source=/dev/null
    source "$part"
    done=1
  fi
done
[[ $done ]] || fail "there is no part $ONLY; choose one of ${known[*]}"

step "Done. Next, with deploy/deploy.sh --env > .env on this machine:"
cat <<'TEXT'
#   cdp user add NAME --role admin     the first account of the console
#   cdp refresh                        the first refresh
TEXT
echo "#   $(url cdp-console)   the console"
