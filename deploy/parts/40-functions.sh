# shellcheck shell=bash
# The functions: one package, three services. Nobody outside of the project reaches them, and inside
# only who has the right to invoke them.
step "Functions"

source=$BUILD/functions
run "$PYTHON" -m functions.package "$source"
if [[ $POLICY ]]; then run cp "$POLICY" "$source/policy.toml"; fi
# shellcheck disable=SC2046,SC2086 # paths of the repository hold no space
code=$(digest_of cdp functions $POLICY)

# A shard uses one core to its end; the workflow's calls mostly wait.
while read -r name entry account concurrency memory timeout most secrets; do
  flags=("--function=$entry" --base-image=python311 "--service-account=$(email "$account")"
    "--build-service-account=projects/$PROJECT/serviceAccounts/$(email cdp-build)"
    --no-allow-unauthenticated --ingress=internal --cpu=1 "--memory=$memory"
    "--concurrency=$concurrency" "--timeout=$timeout" --min-instances=0 "--max-instances=$most"
    "--set-env-vars=$(joined_environment)")
  if [[ $secrets != - ]]; then flags+=("--set-secrets=$secrets"); fi
  stamp=$(digest "$code" "${flags[@]}")
  see run services describe "$name" "--region=$REGION" '--format=value(metadata.labels.cdp)' || true
  if [[ $LOOKED == "$stamp" ]]; then
    kept "$name"
  else
    patiently gcloud run deploy "$name" "--source=$source" "--region=$REGION" "${flags[@]}" \
      "--update-labels=cdp=$stamp" "--project=$PROJECT"
  fi
  rights "service:$name"
done <<END
cdp-steps  steps  cdp-steps  8 1Gi   540 4                 CDP_SALT=cdp-salt:$SALT_VERSION
cdp-ingest ingest cdp-ingest 1 1Gi   540 $INGEST_INSTANCES -
cdp-bury   bury   cdp-ingest 8 512Mi 60  2                 -
END
