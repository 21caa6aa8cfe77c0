# shellcheck shell=bash
# The console. It signs people in itself; with CONSOLE_ACCESS=iap Google asks who they are before the
# first byte of it is sent.
step "Console"

source=$BUILD/console
parts=(cdp pages static Home.py workflow.yaml requirements.txt constraints.txt)
streamlit=.streamlit/config.toml # and nothing beside it: secrets.toml is a developer's own
run rm -rf "$source"
run mkdir -p "$source/.streamlit"
run cp -R "${parts[@]}" deploy/console/. "$source"
run cp "$streamlit" "$source/.streamlit/"
if [[ $POLICY ]]; then run cp "$POLICY" "$source/policy.toml"; fi
# shellcheck disable=SC2086 # paths of the repository hold no space
code=$(digest_of "${parts[@]}" "$streamlit" deploy/console $POLICY)

# A page's session lives in one instance: a browser stays with it, for up to an hour a connection.
flags=("--service-account=$(email cdp-console)"
  "--build-service-account=projects/$PROJECT/serviceAccounts/$(email cdp-build)"
  --cpu=1 --memory=2Gi --concurrency=40 --timeout=3600 --session-affinity
  "--min-instances=$CONSOLE_INSTANCES" --max-instances=3 --cpu-boost
  "--set-env-vars=$(joined_environment)" --set-secrets=CDP_COOKIE_KEY=cdp-cookie-key:latest)
track=()
if [[ $CONSOLE_ACCESS == iap ]]; then
  track=(beta)
  flags+=(--no-allow-unauthenticated --iap)
else
  flags+=(--allow-unauthenticated)
fi
stamp=$(digest "$code" "${flags[@]}")
see run services describe cdp-console "--region=$REGION" '--format=value(metadata.labels.cdp)' || true
if [[ $LOOKED == "$stamp" ]]; then
  kept cdp-console
else
  patiently gcloud "${track[@]}" run deploy cdp-console "--source=$source" "--region=$REGION" \
    "${flags[@]}" "--update-labels=cdp=$stamp" "--project=$PROJECT"
fi

if [[ $CONSOLE_ACCESS == iap ]]; then
  rights service:cdp-console
  role=roles/iap.httpsResourceAccessor
  place=(--resource-type=cloud-run --service=cdp-console "--region=$REGION")
  see beta iap web get-iam-policy "${place[@]}" '--flatten=bindings[].members' \
    '--format=value[separator=" "](bindings.role,bindings.members)' || true
  granted=$LOOKED
  IFS=, read -r -a members <<<"$CONSOLE_MEMBERS"
  for member in "${members[@]}"; do
    grep -qxF "$role $member" <<<"$granted" ||
      cloud beta iap web add-iam-policy-binding "${place[@]}" "--member=$member" "--role=$role" \
        --format=none
  done
  if ((!${#members[@]})); then echo "# CONSOLE_MEMBERS is empty: nobody can open the console yet"; fi
fi
