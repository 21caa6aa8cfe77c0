# shellcheck shell=bash
# Secrets, made once: shown to nobody, written to no disk of ours.
step "Secrets"

for secret in "${SECRETS[@]}"; do
  if ! see secrets describe "$secret" '--format=value(name)'; then
    cloud secrets create "$secret" --replication-policy=user-managed "--locations=$REGION"
  fi
  if see secrets versions describe 1 "--secret=$secret" '--format=value(state)'; then
    kept "$secret"
  else
    add=(gcloud secrets versions add "$secret" --data-file=- "--project=$PROJECT" --format=none)
    printf "openssl rand -hex 32 | tr -d '\\\\n' | %s\n" "$(shown "${add[@]}")"
    if [[ ! $DRY_RUN ]]; then openssl rand -hex 32 | tr -d '\n' | "${add[@]}"; fi
  fi
  rights "secret:$secret"
done
