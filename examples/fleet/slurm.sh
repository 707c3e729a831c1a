#!/bin/sh
#SBATCH --job-name=elenchus
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --requeue
# sbatch slurm.sh; when all tasks have ended: elenchus merge store/register/campaign-1-*of8
# A task that is queued again goes on where it was.
exec elenchus campaign --sim --nemesis all --time-limit 60s --workloads register,set,bank \
    --count 1000 --seed 1 --jobs "${SLURM_CPUS_PER_TASK:-2}" --shard "$SLURM_ARRAY_TASK_ID/8"
