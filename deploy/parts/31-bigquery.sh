# shellcheck shell=bash
# Three datasets: the refresh works in one, and publishes into the other two in turns. It makes its
# tables itself.
step "Datasets"

for dataset in "$DATASET" "${DATASET}_a" "${DATASET}_b"; do
  if look bq --headless=true "--project_id=$PROJECT" --format=json show "$PROJECT:$dataset"; then
    kept "$dataset"
  else
    run bq --headless=true "--project_id=$PROJECT" "--location=$LOCATION" mk --dataset \
      "--description=Composable CDP" "$PROJECT:$dataset"
  fi
done

rights dataset
rights dataset_a
rights dataset_b
rights export
