# shellcheck shell=bash
# The statements of this release, and the workflow that reads them. A run that has begun keeps its
# own: a release's folder is named by its content and never changed.
step "Release and workflow"

mapfile -t settings < <(environment)
# What the folder is called is the same in every deployment.
release=$(unset "${!CDP_@}"; CDP_HOME=$(mktemp -d) && export CDP_HOME &&
  "$PYTHON" -m cdp release && rm -rf "$CDP_HOME")
[[ $release == release/* ]] || fail "python -m cdp release says '$release', and no folder"
run env "${settings[@]}" "$PYTHON" -m cdp release

flags=("--service-account=$(email cdp-workflow)" --call-log-level=log-errors-only
  "--set-env-vars=$(paste -sd, - <<END
CDP_LOCATION=$LOCATION
CDP_DATASET=$DATASET
CDP_BUCKET=$BUCKET
CDP_RELEASE=$release
CDP_STEPS_URL=$(url cdp-steps)
CDP_POLL_SECONDS=5
CDP_MAXIMUM_BYTES_BILLED=$MAXIMUM_BYTES_BILLED
END
)")
stamp=$(digest "$(digest_of workflow.yaml)" "${flags[@]}")
see workflows describe "$WORKFLOW" "--location=$REGION" '--format=value(labels.cdp)' || true
if [[ $LOOKED == "$stamp" ]]; then
  kept "$WORKFLOW"
else
  patiently gcloud workflows deploy "$WORKFLOW" --source=workflow.yaml "--location=$REGION" \
    "${flags[@]}" "--labels=cdp=$stamp" "--project=$PROJECT"
fi
