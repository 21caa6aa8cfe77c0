# shellcheck shell=bash
# The database of profiles, with its indexes. Rules of Firestore rule web and mobile clients only: a
# new database refuses them all, and the platform's server clients are let in by rights.
step "Firestore"

mapfile -t settings < <(environment)
claim=(env "${settings[@]}" "$PYTHON" -m cdp.deployments.claim)

if see firestore databases describe "--database=$DATABASE" '--format=value(type,locationId)'; then
  read -r type place <<<"$LOOKED"
  [[ $type == FIRESTORE_NATIVE ]] ||
    fail "the database $DATABASE is of type $type; set DATABASE to another name, and it is made"
  [[ $place == "$DATABASE_LOCATION" ]] || kept "$DATABASE in $place, not in $DATABASE_LOCATION:"
  kept "the database $DATABASE"
  run "${claim[@]}" # fails where its documents are others'
else
  cloud firestore databases create "--database=$DATABASE" "--location=$DATABASE_LOCATION" \
    --type=firestore-native --enable-pitr --delete-protection
  patiently "${claim[@]}"
fi

composite='[]' fields='[]'
if see firestore indexes composite list "--database=$DATABASE" --format=json; then composite=$LOOKED; fi
if see firestore indexes fields list "--database=$DATABASE" --format=json; then fields=$LOOKED; fi
wanted=$("$PYTHON" deploy/indexes.py firestore.indexes.json "$composite" "$fields")
if [[ ! $wanted ]]; then kept "every index"; fi
while IFS=$'\t' read -r -a words; do
  if ((${#words[@]})); then
    patiently gcloud firestore indexes "${words[@]}" "--database=$DATABASE" --async \
      "--project=$PROJECT" --format=none
  fi
done <<<"$wanted"

rights database
