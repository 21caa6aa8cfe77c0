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

while read -r role title permissions; do
  if see iam roles describe "$role" '--format=value(name)'; then
    kept "the role $role"
  else
    cloud iam roles create "$role" "--title=CDP $title" "--permissions=$permissions"
  fi
done <<'END'
cdpPublisher publisher bigquery.datasets.update
cdpStopper stopper bigquery.jobs.listAll,bigquery.jobs.update
END

rights project
rights account:cdp-push
