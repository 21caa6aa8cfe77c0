# shellcheck shell=bash
# Who each part runs as, what it may do in the project as a whole, and no key for anybody.
step "Service accounts"

for account in "${ACCOUNTS[@]}"; do
  if see iam service-accounts describe "$(email "$account")" '--format=value(email)'; then
    kept "$account"
  else
    cloud iam service-accounts create "$account" "--display-name=Composable CDP: ${account#cdp-}"
  fi
done

if see iam roles describe cdpPublisher '--format=value(name)'; then
  kept "the role cdpPublisher"
else
  cloud iam roles create cdpPublisher "--title=CDP publisher" --permissions=bigquery.datasets.update
fi

rights project
rights account:cdp-push
